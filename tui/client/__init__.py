"""Who asks sandod for the screen: threads that post what they hear, and nothing else. None of them touches a terminal."""
