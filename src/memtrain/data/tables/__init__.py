"""How a table is read, scaled and cut into windows, for `memtrain.data.table`."""
