"""What the screen looks like: each panel a pure function from what is known to rows of styled text. No terminal here."""
