"""From flags, files and the environment to the configuration of a study."""
