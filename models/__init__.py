"""The networks: FAR-Long dynamics and the compact autoencoder. Knows torch; knows no engine, window
or environment.
"""
