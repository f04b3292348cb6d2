"""`livehooks inspect --stack`: CloudFormation is stood in for, the table is that of a local stack."""

import os
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from playwright.sync_api import expect
from stack import LIVEHOOKS, evening

STACK = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
<StackName>evenings</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>
<member><OutputKey>TableName</OutputKey><OutputValue>Events</OutputValue></member>
<member><OutputKey>TopicArn</OutputKey><OutputValue>arn:aws:sns:eu-central-1:000000000000:livehooks</OutputValue></member>
</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""


class CloudFormation(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("content-type", "text/xml")
        self.end_headers()
        self.wfile.write(STACK.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def inspected(dev):
    for body in evening("friday"):
        dev.livekit(body)
    server = HTTPServer(("127.0.0.1", 0), CloudFormation)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    dynamodb = dev.banner["dynamodb"].split()[0]
    environment = os.environ | {
        "AWS_ENDPOINT_URL_CLOUDFORMATION": f"http://127.0.0.1:{server.server_port}",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": dynamodb,
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    process = subprocess.Popen([LIVEHOOKS, "inspect", "--stack", "evenings", "--region", "eu-central-1", "--port", "0"],
                               env=environment, stdout=subprocess.PIPE, text=True)
    lines = iter(process.stdout.readline, "")
    yield next(line.split()[1].rstrip("/") for line in lines if line.startswith("page"))
    process.terminate()
    process.wait(timeout=20)
    server.shutdown()


def test_a_deployed_table_is_shown_and_followed(visit, inspected, dev):
    page = visit(inspected).open()
    expect(page.locator(".row")).to_have_count(20)
    expect(page.locator("#about")).to_have_text("evenings · eu-central-1")
    expect(page.get_by_text("Stored events only.")).to_contain_text("sam logs --stack-name evenings --region eu-central-1")
    dev.send("livekit", "room_started", "--room", "news")
    expect(page.locator(".row").first.locator(".room")).to_have_text("news")
    expect(page.locator(".row")).to_have_count(21)


def test_its_rooms_and_events_are_as_those_of_the_local_stack(visit, inspected):
    page = visit(inspected).open("/#/room?provider=livekit&room=friday")
    page.locator(".span.failed").click()
    panel = page.get_by_label("Details")
    expect(panel.get_by_role("heading", level=2)).to_have_text(re.compile(r"live\.stream\.started"))
    expect(panel).to_contain_text("the keys stay in Secrets Manager")
    expect(panel.locator("[data-form=curl]")).to_have_count(0)
    panel.locator("[data-form=sam]").click()
    expect(panel.locator(".said")).to_contain_text("sam local invoke LivekitFunction")


def test_it_only_reads(inspected):
    """Its API has no other method than GET."""
    import urllib.error
    import urllib.request
    for path in ["/", "/api/event", "/api/live", "/webhooks/livekit"]:
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(urllib.request.Request(inspected + path, b"{}", method="POST"))
        assert answer.value.code in (404, 405)
