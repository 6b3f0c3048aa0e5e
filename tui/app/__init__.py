"""The terminal: the only place that knows curses and npyscreen. It shows pictures, and tells the model which key came."""
