declare const SwaggerUIBundle: any;
