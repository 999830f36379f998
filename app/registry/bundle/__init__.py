"""The bundle (CONTRACT.md section 2): a folder or .zip of CSV files. One table of columns, a reader, a writer."""
