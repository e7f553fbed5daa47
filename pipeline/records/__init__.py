"""The glossary in code: records, errors and their codes, wording."""
