"""The environments: engines and dreams, all behind the Gymnasium contract."""
