"""From a study's records to something a person reads. Runs nothing."""
