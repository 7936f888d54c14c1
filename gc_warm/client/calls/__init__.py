"""Many calls over any executor: in chunks, in a good order, with receipts."""
