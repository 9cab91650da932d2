package notebook

import "testing"

func TestClear(t *testing.T) {
	run := `{"cells":[{"cell_type":"code","execution_count": 7,"metadata":{"outputs":[1]},"outputs": [ {"output_type":"stream"} ],"source":"x"},
 {"cell_type":"raw","metadata":{},"source":"y"}], "metadata":{"execution_count":1e999},"nbformat":4,"nbformat_minor":4}` + "\n"
	want := `{"cells":[{"cell_type":"code","execution_count": null,"metadata":{"outputs":[1]},"outputs": [],"source":"x"},
 {"cell_type":"raw","metadata":{},"source":"y"}], "metadata":{"execution_count":1e999},"nbformat":4,"nbformat_minor":4}` + "\n"
	got, err := Clear([]byte(run))
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := Clear([]byte("{")); err == nil {
		t.Error("no notebook passes")
	}
}
