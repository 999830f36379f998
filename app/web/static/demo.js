import { onLocalhost } from "/static/api.js";

onLocalhost();
