"""Isobatch: which precision to deploy when the same image must give the same answer alone and in a batch."""
