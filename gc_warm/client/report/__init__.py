"""Receipts as figures, tables and pictures."""
