"""Hospital data (MIMIC-III and MIMIC-IV): tables, codes, admissions, visits, and SafeDrug."""
