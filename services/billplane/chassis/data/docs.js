// The Swagger UI that is served here reads OpenAPI 3.0, and our documents are 3.1: what differs in
// them, null and const and exclusive bounds, is said in the older words before it is shown.
function inOlderWords(value) {
  if (Array.isArray(value)) return value.map(inOlderWords);
  if (value === null || typeof value !== "object") return value;
  const made = {};
  for (const [name, item] of Object.entries(value)) made[name] = inOlderWords(item);
  for (const word of ["anyOf", "oneOf"]) {
    if (!Array.isArray(made[word])) continue;
    const left = made[word].filter((item) => item.type !== "null");
    if (left.length === made[word].length) continue;
    made.nullable = true;
    delete made[word];
    if (left.length > 1) made[word] = left;
    else if (left.length === 1 && left[0].$ref) made.allOf = left;
    else Object.assign(made, { ...left[0], ...made });
  }
  if (Array.isArray(made.type)) {
    made.nullable = made.type.includes("null");
    made.type = made.type.find((item) => item !== "null");
  }
  if (typeof made.const === "string") {
    made.enum = [made.const];
    delete made.const;
  }
  for (const [bound, word] of [["minimum", "exclusiveMinimum"], ["maximum", "exclusiveMaximum"]]) {
    if (typeof made[word] !== "number") continue;
    made[bound] = made[word];
    made[word] = true;
  }
  return made;
}

async function show() {
  const answer = await fetch("openapi.json");
  const spec = inOlderWords(await answer.json());
  spec.openapi = "3.0.3";
  window.ui = SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "list",
    persistAuthorization: true,
    presets: [SwaggerUIBundle.presets.apis],
  });
}

if (typeof window !== "undefined") show();
