"""Floor 3: keys and the texts that hold them. Text in, values out; no file is opened here."""
