"""Somebody else's package with two networks that were not written for the suite.

PYTHONPATH=tests/examples nqsbench check cnn
PYTHONPATH=tests/examples snakemake compare --config challenger=gcnn --cores 2
"""
