"""What a run found, on the terminal, in JSON and JUnit, and as a page; and what the clauses say."""
