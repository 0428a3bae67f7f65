"""The command line: `ap3 STAGE …` for each stage of a study."""
