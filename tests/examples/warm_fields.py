import dataclasses

from gc_warm import Receipt, WarmEntry, WarmInfo

print("WarmInfo:", *WarmInfo._fields)
print("WarmEntry:", *WarmEntry._fields)
print("Receipt:", *(field.name for field in dataclasses.fields(Receipt)))
