"""The words: artifacts, runners, interventions, images, cases. No runtime is imported here."""
