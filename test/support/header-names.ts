/** Fields that clients, proxies, load balancers and frameworks are known to send or to believe. */
const KNOWN =
  'accept accept-ch accept-charset accept-datetime accept-encoding accept-language accept-patch accept-ranges a-im alt-used authorization baggage b3 cache-control cdn-loop client-ip cloudfront-viewer-country content-disposition content-encoding content-language content-location content-type cookie cookie2 correlation-id date depth device-memory dnt downlink dpr early-data ect fastly-client-ip fastly-ff forwarded forwarded-for forwarded-host forwarded-proto from front-end-https grpc-timeout host-override if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive last-event-id max-forwards method-override mime-version origin origin-agent-cluster pragma prefer priority profile proxy proxy-authorization proxy-connection proxy-host purpose range real-ip redirect-url referer referrer request-id request-range rtt save-data sec-ch-ua sec-ch-ua-arch sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-protocol service-worker signature signature-input slug surrogate-capability te timeout trace traceparent tracestate trailer true-client-ip ua-cpu upgrade-insecure-requests user-agent user-id via viewport-width want-digest width x-access-token x-account-id x-ajax x-akamai-edgescape x-amz-cf-id x-amz-date x-amz-security-token x-amzn-trace-id x-api-key x-api-version x-app-version x-appengine-country x-arr-log-id x-att-deviceid x-auth-roles x-auth-subject x-auth-token x-azure-clientip x-azure-ref x-b3-sampled x-b3-spanid x-b3-traceid x-backend x-backend-host x-bypass-cache x-cache-key x-cdn-src-ip x-client x-client-id x-client-ip x-client-version x-cluster-client-ip x-country x-country-code x-csrf-token x-csrftoken x-custom-ip-authorization x-debug x-device x-device-id x-do-not-track x-env x-envoy-decorator-operation x-envoy-original-path x-experiment x-feature x-flags x-forward x-forward-for x-forward-proto x-forwarded x-forwarded-by x-forwarded-for x-forwarded-for-original x-forwarded-host x-forwarded-path x-forwarded-port x-forwarded-prefix x-forwarded-proto x-forwarded-protocol x-forwarded-scheme x-forwarded-server x-forwarded-ssl x-forwarded-uri x-forwarded-user x-geo-country x-goog-authenticated-user-email x-host x-http-destinationurl x-http-host-override x-http-method x-http-method-override x-https x-instance x-internal x-ip x-is-mobile x-locale x-language x-lang x-method-override x-mobile x-moz x-no-cache x-oauth-token x-original-host x-original-method x-original-query x-original-remote-addr x-original-uri x-original-url x-originating-ip x-os x-override x-path x-pjax x-platform x-preview x-proxy-url x-proxyuser-ip x-purpose x-query x-real-host x-real-ip x-real-url x-redirect x-referer x-remote-addr x-remote-ip x-remote-user x-request-id x-request-start x-request-timeout-ms x-request-uri x-requested-with x-rewrite-url x-role x-route x-scheme x-script-name x-server-name x-session-id x-shard x-site x-ssl x-subdomain x-tenant x-tenant-id x-test x-theme x-timer x-timezone x-token x-trace-id x-uidh x-umbral-mirror x-unique-id x-uri x-url x-url-scheme x-user x-user-agent x-user-email x-user-id x-user-name x-user-role x-variant x-version x-vhost x-waf-bypass x-wap-profile x-xsrf-token x_forwarded_for x_forwarded_host x_original_url xroxy-connection zone'.split(
    ' ',
  )

const PARTS = [
  'app',
  'auth',
  'cache',
  'cdn',
  'device',
  'edge',
  'geo',
  'host',
  'lang',
  'site',
  'trace',
  'user',
  'view',
  '!odd',
  "tick'",
  'd.o.t',
]

/** A thousand names of request fields: those that are known, then made-up ones, plain and odd. */
export const HEADER_NAMES: readonly string[] = [
  ...KNOWN,
  ...PARTS.flatMap((a) => PARTS.flatMap((b) => [`x-${a}-${b}`, `${a}_${b}`, `${a}${b}~`, `${b}--${a}^`])),
].slice(0, 1_000)
