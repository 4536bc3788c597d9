"""The open vocabularies in the form of their sources, cut to a few records."""

DRUGBANK = (
    "DrugBank ID,Accession Numbers,Common name,CAS,UNII,Synonyms,Standard InChI Key\n"
    'DB00001,BIOD00024 | BTD00024,Lepirudin,138068-37-8,Y43GF64R34,"[Leu1, Thr2]-63-desulfohirudin | R-hirudin",\n'
    'DB00945,APRD00264 | DB00006,Acetylsalicylic acid,50-78-2,R16CO5Y76E,"2-Acetoxybenzoic acid | Aspirin",BSY\n'
    "DB00006,,Bivalirudin,128270-60-0,TN9BEX005G,,OIR\n"
)
DESCRIPTORS = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20260101.dtd">
<DescriptorRecordSet LanguageCode = "eng">
<DescriptorRecord DescriptorClass = "1">
 <DescriptorUI>D001249</DescriptorUI>
 <DescriptorName><String>Asthma</String></DescriptorName>
 <SeeRelatedList><SeeRelatedDescriptor><DescriptorReferredTo><DescriptorUI>D999999</DescriptorUI>
  <DescriptorName><String>Not this one</String></DescriptorName></DescriptorReferredTo></SeeRelatedDescriptor>
 </SeeRelatedList>
 <ConceptList>
  <Concept PreferredConceptYN="N"><ConceptName><String>Cardiac Asthma</String></ConceptName>
   <ScopeNote>Of the heart.</ScopeNote><TermList><Term><String>Cardiac Asthma</String></Term></TermList></Concept>
  <Concept PreferredConceptYN="Y"><ConceptName><String>Asthma</String></ConceptName>
   <ScopeNote>A form of bronchial disorder with
    airway &lt;obstruction&gt;.
   </ScopeNote>
   <TermList>
    <Term ConceptPreferredTermYN="Y" IsPermutedTermYN="N"><TermUI>T1</TermUI><String>Asthma</String></Term>
    <Term ConceptPreferredTermYN="N" IsPermutedTermYN="Y"><TermUI>T2</TermUI><String>Asthma, Bronchial</String></Term>
    <Term ConceptPreferredTermYN="N" IsPermutedTermYN="N"><TermUI>T2</TermUI><String>Bronchial Asthma</String></Term>
   </TermList></Concept>
 </ConceptList>
</DescriptorRecord>
</DescriptorRecordSet>
"""
SUPPLEMENTARY = """<?xml version="1.0"?>
<SupplementalRecordSet LanguageCode="eng">
<SupplementalRecord SCRClass="1"><SupplementalRecordUI>C000002</SupplementalRecordUI>
 <SupplementalRecordName><String>bevonium</String></SupplementalRecordName><Note>structure given in first source</Note>
 <HeadingMappedToList><HeadingMappedTo><DescriptorReferredTo><DescriptorUI>*D001561</DescriptorUI>
  <DescriptorName><String>Benzilates</String></DescriptorName></DescriptorReferredTo></HeadingMappedTo></HeadingMappedToList>
 <ConceptList><Concept PreferredConceptYN="Y"><TermList><Term><String>bevonium</String></Term>
  <Term><String>piribenzil</String></Term></TermList></Concept></ConceptList></SupplementalRecord>
<SupplementalRecord SCRClass="3"><SupplementalRecordUI>C535575</SupplementalRecordUI>
 <SupplementalRecordName><String>Carcinoma, squamous cell of head and neck</String></SupplementalRecordName>
 <Note>A tumour of the lining of mouth and throat.</Note>
 <ConceptList><Concept PreferredConceptYN="Y"><TermList><Term><String>HNSCC</String></Term></TermList></Concept>
 </ConceptList>
</SupplementalRecord>
</SupplementalRecordSet>
"""
GENE_INFO = (
    "#tax_id\tGeneID\tSymbol\tLocusTag\tSynonyms\tdbXrefs\tchromosome\tmap_location\tdescription\ttype_of_gene\t"
    "Symbol_from_nomenclature_authority\tFull_name_from_nomenclature_authority\tNomenclature_status\tOther_designations\t"
    "Modification_date\tFeature_type\n"
    "9606\t1\tA1BG\t-\tA1B|ABG\tMIM:138670|HGNC:HGNC:5\t19\t19q13.43\talpha-1-B glycoprotein\tprotein-coding\tA1BG\t"
    "alpha-1-B glycoprotein\tO\talpha-1B-glycoprotein|HEL-S-163pA\t20250101\t-\n"
    "7\t5692769\tNEWENTRY\t-\t-\t-\t-\t-\tRecord to support submission of GeneRIFs\tother\t-\t-\t-\t-\t20250101\t-\n"
)
HGNC = (
    "hgnc_id\tsymbol\tname\tlocus_group\tlocus_type\tstatus\talias_symbol\talias_name\tprev_symbol\tprev_name\tentrez_id\n"
    "HGNC:6871\tMAPK1\tmitogen-activated protein kinase 1\tx\ty\tApproved\t"
    '"ERK|ERK2"\t"p38|mitogen-activated ""protein"" kinase 2"\t"PRKM2|PRKM1"\t\t5594\n'
    "HGNC:6877\tMAPK3\tmitogen-activated protein kinase 3\tx\ty\tApproved\tERK1\t\tPRKM3\t\t5595\n"
    "HGNC:1\tNOID\tno entrez\tx\ty\tApproved\t\t\t\t\t\n"
)
GO = r"""format-version: 1.2
data-version: releases/2026-01-01
synonymtypedef: syngo_official_label "label approved by the SynGO project"

[Term]
id: GO:0000001
name: mitochondrion inheritance
namespace: biological_process
alt_id: GO:0006666
def: "The distribution of \"mitochondria\",\n including the DNA\: into daughter cells." [GOC:mcc, PMID:10873824]
synonym: "mitochondrial inheritance" EXACT []
synonym: "passing on, broadly" BROAD [GOC:x]
synonym: "inheritance \{of mitochondria\}" EXACT syngo_official_label [] {source="x"}
is_a: GO:0048308 ! organelle inheritance

[Term]
id: GO:0000005
name: obsolete ribosomal chaperone activity
namespace: molecular_function
def: "OBSOLETE. Assists in the assembly of ribosomes." [GOC:jl]
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""
DOID = """[Term]
id: DOID:9352
name: type 2 diabetes mellitus
synonym: "NIDDM" EXACT []
xref: MESH:D003924
"""
UBERON = """[Term]
id: UBERON:0000004
name: nose {comment="of vertebrates"}
"""
CHEBI = """[Term]
id: CHEBI:15365
name: acetylsalicylic acid
synonym: "aspirin" EXACT INN [KEGG_DRUG]
"""
MONDO = """[Term]
id: MONDO:0007750
name: hypercholesterolemia, familial, 1
synonym: "FH" EXACT ABBREVIATION [OMIM:143890]
xref: DOID:13810 {source="MONDO:relatedTo"}
xref: OMIM:143890 {source="MONDO:equivalentTo", source="Orphanet:391665"}
"""
SIDER = (
    "CID100000085\tCID000010917\tC0000729\tLLT\tC0000729\tAbdominal cramps\n"
    "CID100000085\tCID000010917\tC0000729\tPT\tC0000737\tAbdominal pain\n"
    "CID100000085\tCID000010917\tC0000737\tLLT\tC0000737\tPain abdominal\n"
)
MEDDRA = (
    "C0000737\tLLT\t10000056\tPain abdominal\nC0000737\tPT\t10000081\tAbdominal pain\nC0000729\t10000058\tLLT\tCramps\n"
)
HETIONET = "id\tname\tkind\nPathway::PC7_6941\tTCA cycle\tPathway\nPharmacologic Class::N0000175732\tAnthracycline\tx\n"

SAMPLES = {
    "drugbank": DRUGBANK,
    "mesh": DESCRIPTORS,
    "mesh_supplementary": SUPPLEMENTARY,
    "hgnc": HGNC,
    "ncbi_gene": GENE_INFO,
    "go": GO,
    "disease_ontology": DOID,
    "uberon": UBERON,
    "chebi": CHEBI,
    "sider": SIDER,
    "mondo": MONDO,
    "hetionet": HETIONET,
}


def put(folder, name, content, ending=".txt"):
    """Write a file; return its path."""
    path = folder / f"{name}{ending}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
