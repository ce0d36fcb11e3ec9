package author

import "errors"

// errNoColumns: nothing says which columns the plugin is to get.
var errNoColumns = errors.New(`the plugin takes any columns: name those of the case, "columns": [{"name": "id", "data_type": "long"}]`)
