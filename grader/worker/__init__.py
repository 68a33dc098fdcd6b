"""The untrusted side: processes that run student code, and the wire between them and the judge."""
