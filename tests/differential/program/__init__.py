"""The parts of the generator of programs: one module for each kind of text it writes."""
