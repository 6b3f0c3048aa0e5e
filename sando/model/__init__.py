"""The pure heart: values and rules. No thread, file, clock, process or network is reached from here."""
