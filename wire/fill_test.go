package wire_test

import (
	"reflect"
	"time"
)

// filled returns a T with every member set, but for the token of a next page.
func filled[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem(), 0)
	if f := reflect.ValueOf(v).Elem().FieldByName("NextToken"); f.IsValid() {
		f.SetZero()
	}
	return v
}

func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.String:
		v.SetString("a-b")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && depth < 8 {
				fill(v.Field(i), depth+1)
			}
		}
	}
}

// unsetIn returns the path of a member that is not set anywhere in v.
func unsetIn(x any) string { return unsetAt(reflect.ValueOf(x), "") }

func unsetAt(v reflect.Value, path string) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return path
		}
		return unsetAt(v.Elem(), path)
	case reflect.Slice:
		if v.Len() == 0 {
			return path
		}
		for i := range v.Len() {
			if p := unsetAt(v.Index(i), path+"[]"); p != "" {
				return p
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				if p := unsetAt(v.Field(i), path+"."+f.Name); p != "" {
					return p
				}
			}
		}
	case reflect.String:
		if v.Len() == 0 {
			return path
		}
	}
	return ""
}
