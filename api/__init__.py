"""HTTP: bodies to messages, replies to answers. It owns no state and decides nothing."""
