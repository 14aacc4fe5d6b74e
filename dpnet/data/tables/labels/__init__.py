"""The labels of a table, of every task, from one column or several: those that data.target names.

`read.labels_in` is what others call. What a column may hold stands in `tables.targets` for classes, in `tables.numbers`
for numbers, and in `yes_or_no`. Nothing here knows which rows are trained on, or what becomes of inputs.
"""
