"""Rationales that the student learns from, with the passages they cite."""
