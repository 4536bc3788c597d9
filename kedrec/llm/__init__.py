"""Asking a language model: requests, batches, the answer cache, the budget, endpoints and local models."""
