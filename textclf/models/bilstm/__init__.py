"""The architecture bilstm: embedding, bidirectional LSTM, pooling, dense layer."""
