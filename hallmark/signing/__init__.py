"""Keys and identities: made, read, and what they make of an envelope. The only place of securesystemslib and sigstore: extras."""
