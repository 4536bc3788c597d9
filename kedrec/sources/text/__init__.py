"""Readers of text sources: ClinicalTrials.gov, PubMed, PubMed Central."""
