"""The vehicle register (机动车登记): what a plate is registered for, and to whom."""
