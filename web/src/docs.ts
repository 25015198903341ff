/** The interactive documentation: swagger-ui as it is published, served from our own origin. */
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";
import bundle from "swagger-ui-dist/swagger-ui-bundle.js?url";

type SwaggerUI = (options: Record<string, unknown>) => void;

const script = document.createElement("script");
script.src = bundle;
script.onload = () => {
  const { SwaggerUIBundle } = window as unknown as { SwaggerUIBundle: SwaggerUI };
  SwaggerUIBundle({
    url: new URL(/* @vite-ignore */ "../openapi.json", import.meta.url).href,
    dom_id: "#docs",
    deepLinking: true,
    validatorUrl: null,
  });
};
document.head.append(script);
