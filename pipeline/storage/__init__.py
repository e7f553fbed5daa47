"""The only writer to disk, its places, and what is kept between runs."""
