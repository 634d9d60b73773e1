// What a receiver in Node does with a post: verifies it with npm's standardwebhooks. Reads {secret, headers, body} from stdin.
const { Webhook } = require("standardwebhooks");
const post = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(new Webhook(post.secret).verify(post.body, post.headers)));
