// An OpenID provider for tests: npm's oidc-provider, where whoever comes is the account that `POST /account` named last.
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const { Provider } = await import(pathToFileURL(`${process.env.MODULES}/oidc-provider/lib/index.js`));
const { port, clients, key } = JSON.parse(process.env.SETUP);
const accounts = new Map();
let present = null;

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  jwks: { keys: [key] },
  cookies: { keys: ["of a test"] },
  claims: {
    openid: ["sub", "keepwell_clinic", "keepwell_role", "keepwell_clinician"],
    profile: ["preferred_username"],
  },
  conformIdTokenClaims: false,
  clientAuthMethods: clients.map((client) => client.token_endpoint_auth_method),
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...accounts.get(sub) }) }),
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc;
    const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId });
    grant.addOIDCScope("openid profile");
    await grant.save();
    return grant;
  },
});
const serve = provider.callback();

createServer(async (request, response) => {
  if (request.url === "/account") {
    present = JSON.parse(await text(request));
    if (present !== null) accounts.set(present.sub, present);
    response.end();
  } else if (request.url.startsWith("/interaction/")) {
    const found = present === null ? { error: "access_denied" } : { login: { accountId: present.sub } };
    await provider.interactionFinished(request, response, found);
  } else {
    await serve(request, response);
  }
}).listen(port, "127.0.0.1");
