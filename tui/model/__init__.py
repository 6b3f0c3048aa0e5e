"""What the screen knows, and what each key and each answer makes of it. Pure: no terminal, thread, clock or network."""
