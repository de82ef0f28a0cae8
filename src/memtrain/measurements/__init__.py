"""Measurements: functions from options to a table and a figure, for experiments that do not compare methods.

An experiment file names one as `measurement.class_path`; `memtrain run` calls it. Nothing else imports this room.
"""
