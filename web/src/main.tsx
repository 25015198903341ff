import "./styles/theme.css";
import "./styles/frame.css";
import "./styles/recording.css";
import "./styles/answers.css";
import { render } from "preact";
import { App } from "./app";

render(<App />, document.getElementById("page")!);
