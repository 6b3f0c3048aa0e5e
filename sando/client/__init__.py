"""How sandod is asked: its address, one HTTP connection, the shapes of its answers, its events. The screen and the
command line share it; it shows nothing, and decides nothing for whoever asks.
"""
