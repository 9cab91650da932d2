package notebook

// Validate is to check the schema.
func Validate(data []byte) error { return Check(data) }
