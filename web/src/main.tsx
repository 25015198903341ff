import { render } from "preact";
render(<h1>voxgraph</h1>, document.getElementById("page")!);
