"""How scans and results are looked at: grey values, surfaces, planes."""
