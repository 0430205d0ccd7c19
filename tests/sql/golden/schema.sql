CREATE TABLE dept(id integer PRIMARY KEY, name text NOT NULL, budget numeric(12,2));
CREATE TABLE emp(id integer PRIMARY KEY, name text NOT NULL, dept integer REFERENCES dept(id), salary integer, hired date, rate double precision, note varchar(10), active boolean NOT NULL DEFAULT true, CONSTRAINT emp_salary_check CHECK (salary > 0));
CREATE TABLE pair(a integer, b integer, c text, PRIMARY KEY (a, b));
CREATE TABLE num(k bigint, v numeric, t text);
INSERT INTO dept VALUES (1, 'sales', 1000.50), (2, 'dev', 20000), (3, 'ops', NULL);
INSERT INTO emp(id, name, dept, salary, hired, rate, note) VALUES (1, 'ann', 1, 100, '2020-01-02', 1.5, 'x'), (2, 'bob', 2, 200, '2021-03-04', 2.25, NULL), (3, 'cid', 2, 300, NULL, NULL, 'longnote'), (4, 'dan', NULL, NULL, '2019-12-31', -0.5, '');
INSERT INTO pair VALUES (1, 1, 'p'), (1, 2, 'q'), (2, 1, NULL);
INSERT INTO num VALUES (1, 10.0, 'a'), (2, 9.5, 'b'), (3, 100, 'B'), (4, NULL, NULL), (5, 9.50, 'a');
