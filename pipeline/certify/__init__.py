"""After the race: the choice verified at every N, and chosen again where what would be shipped fails."""
