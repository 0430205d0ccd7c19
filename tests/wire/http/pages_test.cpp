#include "wire/http/pages.hpp"

#include <gtest/gtest.h>

#include "wire/http/page_files.hpp"

namespace bop::wire::http {
namespace {

Sources sources(const std::optional<std::string>& reason = std::nullopt) {
  return {[reason] { return reason; }, [] { return std::string("# TYPE bop_x counter\nbop_x 1\n"); },
          [](const Request& request) {
            return Page{200, kJson, "{\"target\":\"" + std::string(request.target) + "\"}\n"};
          }};
}

Page get(std::string_view target) { return answer(sources(), {.method = "GET", .target = target}); }

TEST(Pages, HealthSaysWhetherTheNodeServes) {
  EXPECT_EQ(get("/health").status, 200u);
  const Page page = answer(sources("disk \"a\" failed\n"), {.method = "GET", .target = "/health?verbose"});
  EXPECT_EQ(page.status, 503u);
  EXPECT_EQ(page.body, "{\"status\":\"unavailable\",\"reason\":\"disk \\\"a\\\" failed\\n\"}\n");
}

TEST(Pages, OnlyWhatIsThereIsAnswered) {
  EXPECT_EQ(get("/metrics").body, "# TYPE bop_x counter\nbop_x 1\n");
  EXPECT_EQ(get("/status.json?after=3").body, "{\"target\":\"/status.json?after=3\"}\n");
  for (const std::string_view target :
       {"/x", "", "//", "/metrics/", "/health/..", "*", "http://other/", "/../etc/passwd", "/status.html"}) {
    EXPECT_EQ(get(target).status, 404u) << target;
  }
  for (const std::string_view method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""}) {
    EXPECT_EQ(answer(sources(), {.method = method, .target = "/health"}).status, 405u) << method;
  }
}

// The page may load what the node serves, and nothing else: a browser would refuse it, and there may be no
// network.
TEST(Pages, ThePageIsWholeInTheProgram) {
  const Page page = get("/");
  EXPECT_EQ(page.status, 200u);
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(page.body.starts_with("<!doctype html>"));
  std::size_t loaded = 0;
  for (const std::string_view attribute : {"src=\"", "href=\""}) {
    for (std::size_t at = page.body.find(attribute); at != page.body.npos;
         at = page.body.find(attribute, at + 1)) {
      const std::size_t from = at + attribute.size();
      const std::string target = page.body.substr(from, page.body.find('"', from) - from);
      EXPECT_EQ(get(target).status, 200u) << target;
      ++loaded;
    }
  }
  EXPECT_GE(loaded, 3u);
  for (const PageFile& file : page_files()) {
    EXPECT_GT(file.bytes.size(), 100u) << file.path;
    EXPECT_EQ(get(file.path).body, file.bytes);
    // Names of XML and links in words are no loads.
    for (const std::string_view bad : {"@import", "innerHTML", "eval(", "style=\"", "onclick=", "url("}) {
      EXPECT_EQ(file.bytes.find(bad), file.bytes.npos) << file.path << " has " << bad;
    }
  }
}

TEST(Pages, QueryValues) {
  EXPECT_EQ(query_value("/a?after=12", "after"), "12");
  EXPECT_EQ(query_value("/a?x=1&after=12&after=13", "after"), "12");
  EXPECT_EQ(query_value("/a?after", "after"), "");
  EXPECT_EQ(query_value("/a?&&after=&", "after"), "");
  for (const std::string_view target : {"/a", "/a?", "/a?x=1", "/a?xafter=1", "/a?after2=1", "/after=1"}) {
    EXPECT_EQ(query_value(target, "after"), std::nullopt) << target;
  }
}

}  // namespace
}  // namespace bop::wire::http
