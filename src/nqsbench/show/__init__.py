"""What reads tables: claims, measures, comparisons, the report. Loads no JAX."""
